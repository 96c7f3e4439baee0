"""What a rule is: two functions, the words that they may use, and what can be read off them."""
