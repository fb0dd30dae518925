import pandas as pd

from cxr.data.duplicates import Groups, duplicate_notes, exact_pairs, group_images, same_picture_groups


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


def test_notes_count_copies_and_suspect_many_patients():
    shared = [(f"i{n}", f"s{n}", f"p{n}", "x") for n in range(4)]
    rows = table(*shared, ("j1", "s9", "p9", "y"), ("j2", "s9", "p9", "y"))
    notes = duplicate_notes(rows)
    assert notes[0] == (
        "2 picture(s) stand under several image ids, 1 of them under several patients; the largest group has 4 images"
    )
    assert notes[1].startswith("picture of i0 stands under 4 patients, more than 3: check")
    assert len(notes) == 2
    assert duplicate_notes(rows.iloc[[0, 4]]) == []
