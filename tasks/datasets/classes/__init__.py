"""Forms of data in which every image has one class."""
