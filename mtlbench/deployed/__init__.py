"""What one does with a trained network: evaluate, cost, sample, export, predict."""
