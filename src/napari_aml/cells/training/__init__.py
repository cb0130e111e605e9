"""How the segmentation networks are trained; needed by nobody who only uses them."""
