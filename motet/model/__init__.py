"""The ranker: each file one slot of the model, composed in `ranker.py`."""
