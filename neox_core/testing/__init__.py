"""What plugin authors and parity checks import."""
