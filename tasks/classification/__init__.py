"""Image classification by ResNet-18."""
