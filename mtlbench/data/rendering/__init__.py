"""The embedded scenes: rooms, rays, paint and heat."""
