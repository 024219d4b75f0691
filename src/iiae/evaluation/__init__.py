"""What is measured of a trained model on held-out pairs."""
