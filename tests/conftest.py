"""What all tests share: property tests run without a clock, for machines differ and are often busy."""

from hypothesis import settings

settings.register_profile("motet", deadline=None, max_examples=60)
settings.load_profile("motet")
