"""ZIP: element-wise arithmetic on two complex vectors."""
