"""What the default network learns of BANKING77."""
