"""From a mask to a plan, from a plan to loops: how `lib.torch_attention` skips what a mask forbids."""
