"""Parts drawn by a hash: whole patients, the same ones whatever the order of rows."""

import pandas as pd

from cxr.data.draw import draw_patients, hold_out


def table(patients=40, images=2):
    ids = [f"p{number}" for number in range(patients) for _ in range(images)]
    return pd.DataFrame({"patient_id": ids, "image_id": [f"i{n}" for n in range(len(ids))]})


def test_a_share_of_the_patients_is_held_out_whatever_the_order_of_rows():
    rows = table()
    held_out = pd.Series(hold_out(rows["patient_id"], 0.25))
    assert held_out.sum() == 20 and (held_out.groupby(rows["patient_id"]).nunique() == 1).all()
    shuffled = rows.sample(frac=1, random_state=0)
    assert set(shuffled["patient_id"][hold_out(shuffled["patient_id"], 0.25)]) == set(rows["patient_id"][held_out])


def test_at_least_one_patient_is_held_out():
    assert hold_out(table(3)["patient_id"], 0.01).sum() == 2, "one patient, two images"
    assert hold_out(pd.Series([], dtype=object), 0.5).size == 0


def test_a_limit_takes_whole_patients():
    rows = table()
    drawn = draw_patients(rows, 20)
    assert len(drawn) == 20 and (drawn["patient_id"].value_counts() == 2).all()
    assert draw_patients(rows, 0).equals(rows) and draw_patients(rows, 1000).equals(rows)
    assert list(drawn.index) == list(range(20))
