import pandas as pd
import pytest
from planted import picture, reencoded

from cxr.data.duplicates import (
    Groups,
    as_pairs,
    conflict_notes,
    duplicate_notes,
    exact_pairs,
    find_duplicates,
    group_images,
    refuse_large_groups,
    same_picture_groups,
)
from cxr.data.near_duplicates import to_thumbnails
from cxr.faults import DataFault
from cxr.labels import STUDY_CLASSES


def table(*rows):
    return pd.DataFrame(rows, columns=["image_id", "study_id", "patient_id", "pixel_hash"])


def test_union_find_joins_chains():
    groups = Groups()
    for one, other in [(1, 2), (3, 4), (2, 3)]:
        groups.join(one, other)
    assert len({groups.root(item) for item in (1, 2, 3, 4)}) == 1
    assert groups.root(5) == 5


def test_exact_pairs_need_a_hash():
    rows = table(
        ("c", "s1", "p1", "x"),
        ("a", "s2", "p2", "x"),
        ("b", "s3", "p3", "x"),
        ("d", "s4", "p4", None),
        ("e", "s5", "p5", None),
    )
    assert exact_pairs(rows) == [("a", "b"), ("a", "c")]
    assert exact_pairs(rows.drop(columns="pixel_hash")) == []


def test_groups_are_components_over_patient_study_and_picture():
    rows = table(
        ("a", "s1", "p1", "x"),  # p1 has two studies
        ("b", "s2", "p1", "y"),
        ("c", "s3", "p2", "y"),  # the picture of b under another patient
        ("d", "s4", "p3", "z"),  # alone, until a near copy links it to c
        ("e", "s5", "p4", "w"),
    )
    assert group_images(rows).tolist() == ["p1", "p1", "p1", "p3", "p4"]
    assert group_images(rows, [("c", "d")]).tolist() == ["p1", "p1", "p1", "p1", "p4"]
    assert group_images(rows.iloc[::-1], [("d", "c")]).sort_index().tolist() == ["p1", "p1", "p1", "p1", "p4"]


def test_same_names_of_different_things_do_not_link():
    assert group_images(table(("1", "2", "3", "x"), ("2", "3", "1", "y"))).tolist() == ["3", "1"]


def test_same_picture_groups_join_exact_and_near_copies():
    rows = table(("a", "s1", "p1", "x"), ("b", "s2", "p2", "x"), ("c", "s3", "p3", "z"), ("d", "s4", "p4", "w"))
    assert same_picture_groups(rows) == [["a", "b"]]
    assert same_picture_groups(rows, [("c", "b")]) == [["a", "b", "c"]]


def test_notes_count_copies():
    shared = [(f"i{n}", f"s{n}", f"p{n}", "x") for n in range(3)]
    rows = table(*shared, ("j1", "s9", "p9", "y"), ("j2", "s9", "p9", "y"))
    assert duplicate_notes(rows) == [
        "2 picture(s) stand under several image ids, 1 of them under several patients; "
        "the largest group has 3 images of 3 patient(s)"
    ]
    assert duplicate_notes(rows.iloc[[0, 4]]) == []


def test_pictures_must_not_join_more_than_three_patients():
    rows = table(*[(f"i{n}", f"s{n}", f"p{n // 2}", str(n)) for n in range(10)])  # five patients of two images each
    chain = [("i1", "i2"), ("i3", "i4"), ("i5", "i6")]  # p0 = p1 = p2 = p3, though no picture stands there thrice
    refuse_large_groups(rows, chain[:2])
    with pytest.raises(
        DataFault, match=r"join 4 patients to one group \(p0, p1, p2, p3\), more than 3.*: i1 = i2, i3 = i4"
    ):
        refuse_large_groups(rows, chain)
    refuse_large_groups(rows, chain, most=4)
    refuse_large_groups(rows, [("i0", "i1"), ("i8", "i9")], most=1)  # copies within a patient join nobody
    with pytest.raises(DataFault, match=r"join 4 patients to one group \(a, b, c, d\).*: i0 = i1, i0 = i2, i0 = i3;"):
        refuse_large_groups(table(*[(f"i{n}", f"s{n}", "abcd"[n], "same") for n in range(4)]))


def labelled(*rows):
    """image, patient, pixel hash, class number, has_box, role."""
    images = pd.DataFrame(rows, columns=["image_id", "patient_id", "pixel_hash", "one", "has_box", "role"])
    classes = {name: (images["one"] == number).astype(int) for number, name in enumerate(STUDY_CLASSES)}
    return images.assign(study_id=images["patient_id"], **classes)


def test_conflicting_labels_of_copies_are_listed():
    images = labelled(
        ("a", "p0", "x", 0, 0, "train"),
        ("b", "p1", "x", 1, 1, "train"),  # another class and a box
        ("c", "p2", "y", 2, 1, "train"),
        ("d", "p3", "y", 2, 0, "train"),  # the same class without its box
        ("e", "p4", "z", 3, 1, "train"),
        ("f", "p4", "z", 3, 0, "duplicate"),  # known to be boxless: no contradiction
        ("g", "p5", "w", 1, 1, "train"),
        ("h", "p6", "v", 3, 1, "train"),  # a near copy of g
    )
    pictures = [picture(number) for number in (0, 0, 1, 1, 2, 2, 3, 4)]
    pictures[7] = reencoded(pictures[6])
    found = find_duplicates(images, to_thumbnails(pictures))
    assert found[["image_id", "other_id", "how", "conflict"]].to_numpy().tolist() == [
        ["a", "b", "pixel_hash", "class and boxes"],
        ["c", "d", "pixel_hash", "boxes"],
        ["e", "f", "pixel_hash", ""],
        ["g", "h", "as it is", "class"],
    ]
    assert found["same_patient"].tolist() == [0, 0, 1, 0]
    assert conflict_notes(found) == [
        "3 pair(s) of copies have labels that contradict each other, the first: a and b (class and boxes)"
    ]
    assert conflict_notes(found.iloc[[2]]) == []


def test_of_exact_copies_only_the_first_is_compared():
    images = labelled(*[(name, f"p{name}", "x", 1, 1, "train") for name in "abcd"], ("e", "pe", "y", 1, 1, "train"))
    pictures = [picture(0)] * 4 + [reencoded(picture(0))]
    assert as_pairs(find_duplicates(images, to_thumbnails(pictures))) == [
        ("a", "b"),
        ("a", "c"),
        ("a", "d"),
        ("a", "e"),
    ]
