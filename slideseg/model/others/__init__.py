"""Networks of others: found out how far they see and what they cost, and run as they are on tiles with room around them."""
