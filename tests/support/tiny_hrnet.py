# A narrow HRNet, as a config of mmpose.
model = {
    "type": "TopdownPoseEstimator",
    "data_preprocessor": {
        "type": "PoseDataPreprocessor",
        "mean": [120.0, 110.0, 100.0],
        "std": [50.0, 60.0, 70.0],
        "bgr_to_rgb": True,
    },
    "backbone": {
        "type": "HRNet",
        "in_channels": 3,
        "extra": {
            "stage1": {
                "num_modules": 1,
                "num_branches": 1,
                "block": "BOTTLENECK",
                "num_blocks": (1,),
                "num_channels": (4,),
            },
            "stage2": {
                "num_modules": 1,
                "num_branches": 2,
                "block": "BASIC",
                "num_blocks": (1, 1),
                "num_channels": (4, 8),
            },
            "stage3": {
                "num_modules": 1,
                "num_branches": 3,
                "block": "BASIC",
                "num_blocks": (1,) * 3,
                "num_channels": (4, 8, 16),
            },
            "stage4": {
                "num_modules": 1,
                "num_branches": 4,
                "block": "BASIC",
                "num_blocks": (1,) * 4,
                "num_channels": (4, 8, 16, 32),
            },
        },
        "init_cfg": {"type": "Pretrained", "checkpoint": "https://localhost:1/hrnet.pth"},
    },
    "head": {"type": "HeatmapHead", "in_channels": 4, "out_channels": 17, "deconv_out_channels": None},
}
