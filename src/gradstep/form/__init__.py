"""The form of a rule: two functions, the words that they may use, and all that can be read off them."""
