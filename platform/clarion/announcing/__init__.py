"""What staff announce to customers: written, confirmed by two, spread, shown, taken back."""
