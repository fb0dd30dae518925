"""Training labels in COCO format (https://cocodataset.org/#format-data), for tools that read nothing else."""

import argparse
from pathlib import Path

import pandas as pd

from cxr.boxes import xyxy_to_xywh
from cxr.data.box_table import clean_boxes
from cxr.data.siim import read_image_level
from cxr.faults import DataFault
from cxr.tables import Contract, check_table, read_csv
from cxr.workspace import write_json

CATEGORY = {"id": 1, "name": "opacity", "supercategory": "finding"}
SIZES = Contract("images table", ("image_id",), ("height", "width"), key="image_id")
DECIMALS = 5  # as in train_image_level.csv


def to_coco(image_level: pd.DataFrame, images: pd.DataFrame) -> dict:
    """COCO dict of the images that stand in both tables, in the order of their ids.

    `image_level` has image_id and boxes_xywh, `images` image_id, height, width and maybe path. COCO wants whole numbers
    as ids; both kinds start at 1, because pycocotools takes annotation 0 for "unmatched". An image's own id is kept as
    `image_id`, its path as `file_name` (without a path column: `<image_id>.png`). Boxes are x, y, width, height in
    original pixels, clipped to the image; `info.notes` has a line for each box that was changed or dropped, and for
    images that stand in one table only.
    """
    check_table(images, SIZES, "images table")
    if (images[["height", "width"]] <= 0).any(axis=None):
        first = images["image_id"][(images[["height", "width"]] <= 0).any(axis=1)].iloc[0]
        raise DataFault(f"images table: image {first} has no positive height and width; convert it again")
    both = image_level[["image_id", "boxes_xywh"]].merge(images, on="image_id", validate="one_to_one")
    pictures, annotations, notes = [], [], _one_sided(image_level, images)
    for number, row in enumerate(both.sort_values("image_id").itertuples(), start=1):
        pictures.append(
            {
                "id": number,
                "image_id": row.image_id,
                "height": int(row.height),
                "width": int(row.width),
                "file_name": getattr(row, "path", f"{row.image_id}.png"),
            }
        )
        boxes_xyxy, changed = clean_boxes(row.image_id, row.boxes_xywh, row.height, row.width)
        notes += changed
        for box in xyxy_to_xywh(boxes_xyxy).round(DECIMALS).tolist():
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": number,
                    "category_id": CATEGORY["id"],
                    "bbox": box,
                    "area": round(box[2] * box[3], DECIMALS),
                    "iscrowd": 0,
                }
            )
    info = {"description": "Lung opacities of the SIIM-FISABIO-RSNA COVID-19 Detection training labels", "notes": notes}
    return {"info": info, "licenses": [], "categories": [CATEGORY], "images": pictures, "annotations": annotations}


def _one_sided(image_level: pd.DataFrame, images: pd.DataFrame) -> list[str]:
    """A line for the images without labels and one for the labels without an image."""
    labelled, there = set(image_level["image_id"]), set(images["image_id"])
    sides = {
        "images table but not in the image level labels": sorted(there - labelled),
        "image level labels but not in the images table": sorted(labelled - there),
    }
    return [
        f"{len(ids)} image(s) in the {where} are left out: {', '.join(ids[:3])}{', ...' if len(ids) > 3 else ''}"
        for where, ids in sides.items()
        if ids
    ]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("image_level_csv", type=Path, metavar="IMAGE_LEVEL_CSV", help="train_image_level.csv")
    parser.add_argument("images_csv", type=Path, metavar="IMAGES_CSV", help="image_id, height, width")
    parser.add_argument("out", type=Path, metavar="OUT.json", help="the annotations")


def main(args: argparse.Namespace) -> int:
    labels = read_image_level(args.image_level_csv)
    images = check_table(read_csv(args.images_csv), SIZES, args.images_csv)
    coco = to_coco(labels, images)
    if not coco["images"]:
        raise DataFault(
            f"{args.images_csv}: none of its images is in {args.image_level_csv}; take two files of one data set"
        )
    write_json(coco, args.out)
    for note in coco["info"]["notes"]:
        print(f"note: {note}")
    print(f"{args.out}: {len(coco['images'])} images, {len(coco['annotations'])} boxes")
    return 0
