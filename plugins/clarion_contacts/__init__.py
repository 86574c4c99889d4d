"""People an account may write to, and proof that it may."""
