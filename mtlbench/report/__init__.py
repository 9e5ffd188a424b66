"""Tables, figures and the page: pure functions of records; nothing here imports torch."""
