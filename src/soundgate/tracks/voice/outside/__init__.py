"""What judges say of conversions that nothing here trained."""
