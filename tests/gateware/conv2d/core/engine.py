"""The engine's smallest configuration in tests."""

SMALLEST = {"input_lanes": 4, "output_lanes": 4, "pixel_lanes": 2, "feature_words": 1024, "weight_steps": 4096}
