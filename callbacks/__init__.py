"""The room of the Lightning callbacks that change what a run trains on, or how."""
