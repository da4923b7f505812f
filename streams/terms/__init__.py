"""Drug names to ingredients, event names to preferred terms."""
