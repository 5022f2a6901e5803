"""What was said in several sessions becomes knowledge, and what matters a core candidate.

What contradicts something newer ceases to be true; both stay.
"""
