"""Optimizers at play: a page that shows how rules move on surfaces of two coordinates, served on 127.0.0.1.

Every number comes from the library's own rules, computed here; the page only draws. It is for intuition, and no
evidence of which optimizer is better: that is what ``gradstep compare`` is for.
"""
