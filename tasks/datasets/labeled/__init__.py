"""A folder of images and the exports of annotation tools: its images, and for each kind of label what a task is trained on."""
