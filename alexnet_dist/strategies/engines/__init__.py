"""What runs a strategy on real ranks. Loaded when ranks start; imports torch, Accelerate and, for ZeRO, DeepSpeed."""
