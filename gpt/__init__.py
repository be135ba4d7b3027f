"""The companion of minbpe: will train and judge transformers, to find by experiment which vocabulary is best."""
