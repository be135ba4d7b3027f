"""The companion of minbpe: trains and judges transformers, to find by experiment which vocabulary is best."""
