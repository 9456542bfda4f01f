"""HTTP: health, metrics and the emergency inbox."""
