"""Images: decoding, storage in memory, augmentation, drawing."""
