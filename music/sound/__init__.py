"""Sound: soundfonts, synthesis, rendering, resampling."""
