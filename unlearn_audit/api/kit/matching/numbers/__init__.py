"""What says a number: dates, times of day, quantities with their units, numbers in words of many languages."""
