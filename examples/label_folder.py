"""A labeling round on a folder of images: `python label_folder.py [FOLDER LABELS]`.

FOLDER holds images, and LABELS is a CSV file with the columns `file` and `label` for some
of them. Without the two, a folder of rendered images is made, of which a third is labeled.
"""

import csv
import sys
from pathlib import Path

import torch
from PIL import Image

import lossbench
from lossbench.labeling.plan import Request, plan_round
from lossbench.labeling.round import LabelingRound
from lossbench.labeling.writing import Addresses, write_round

PROTOCOL = Path(__file__).with_name("small-scenes.toml")
ROUND = Path("runs/example-round")
SMALL = {
    "model": {"kind": "resnet18", "width": 8, "stem": "half", "pixels": 32},
    "recipe": {"epochs": 10, "batch": 16, "optimizer": "adamw", "learning_rate": 5e-3},
}
"""A network that trains in seconds. Without it a head is trained on a frozen EfficientNet-Lite0."""


def make_folder(folder: Path, labels: Path, images: int = 120, labeled: int = 40) -> None:
    """Write rendered images, and the labels of the first ones."""
    task = lossbench.load_task(PROTOCOL)
    folder.mkdir(parents=True)
    names = [f"{number:03}.png" for number in range(images)]
    for name, pixels in zip(names, task.unlabeled.frames(torch.arange(images).numpy()), strict=True):
        Image.fromarray(pixels.permute(1, 2, 0).numpy()).save(folder / name)
    classes = [task.group_names[number] for number in task.annotations[:labeled]]
    with labels.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("file", "label"), *zip(names, classes, strict=False)])


def main(folder: Path, labels: Path) -> None:
    """Train on what is labeled, pick ten of the other images, and write the folder of the round."""
    wanted = Request(str(folder), [str(labels)], table={"strategy": "badge", "budget": 10, "task": SMALL})
    one = LabelingRound(plan_round(wanted), Path("runs/cache"), torch.device("cpu"))
    outcome = one.run()
    write_round(outcome, one.shape, ROUND, Addresses(f"{folder.name}/"))
    score = outcome.metrics["accuracy"]
    print(f"trained on {outcome.trained_on} labels; accuracy on {outcome.held_out} others: {score:.2f}")
    for pick in outcome.picks:
        print(f"{pick.rank:2}. {pick.file}, most like {pick.nearest_labeled}")
    print(f"look at {ROUND / 'index.html'}; {ROUND / 'label_studio.json'} is for Label Studio")


if __name__ == "__main__":
    given = [Path(word) for word in sys.argv[1:]]
    if not given:
        given = [Path("runs/rendered"), Path("runs/rendered.csv")]
        make_folder(*given)
    main(*given)
