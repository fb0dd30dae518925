"""The phantom's radiographs: geometry, physics, reproducibility. Small pictures, so that the file takes seconds."""

from dataclasses import fields, replace

import numpy as np
import pytest

from cxr.phantom.anatomy import Rendering, draw_patient, draw_view, render
from cxr.phantom.lesions import Disease, draw_disease
from cxr.phantom.markers import burn_in
from cxr.phantom.views import Frame

HEALTHY = Disease("negative")


def patient_and_view(seed=0, size=240, **changes):
    rng = np.random.default_rng(seed)
    patient = draw_patient(rng)
    plain = dict(
        devices=(),
        border=(0.0, 0.0, 0.0, 0.0),
        angle=0.0,
        turn=0.0,
        window=(0.1, 0.9),
        gamma=1.0,
        height=size,
        width=size,
    )
    return patient, replace(draw_view(rng, patient), **(plain | changes))


@pytest.fixture(scope="module")
def healthy() -> Rendering:
    return render(*patient_and_view(1), HEALTHY)


def test_the_same_arguments_give_the_same_bytes():
    patient, view = patient_and_view(3, devices=("ecg_leads", "lead_letter", "burnt_text"))
    disease = draw_disease(np.random.default_rng(0), "typical")
    one, other = render(patient, view, disease), render(patient, view, disease)
    assert one.pixels.tobytes() == other.pixels.tobytes()
    assert one.boxes_xyxy.tobytes() == other.boxes_xyxy.tobytes() and one.findings == other.findings
    assert render(patient, replace(view, seed=view.seed + 1), disease).pixels.tobytes() != one.pixels.tobytes()


@pytest.mark.parametrize(("height", "width"), [(200, 200), (200, 260), (333, 251), (900, 740), (1601, 1200)])
def test_any_size_is_rendered_as_asked(height, width):
    patient, view = patient_and_view(2, height=height, width=width)
    rendering = render(patient, view, draw_disease(np.random.default_rng(4), "typical"))
    assert rendering.pixels.shape == (height, width) and rendering.pixels.dtype == np.float32
    assert 0 <= rendering.pixels.min() < 0.35 and 0.6 < rendering.pixels.max() <= 1
    assert all(mask.shape == (height, width) and mask.dtype == bool for mask in rendering.masks.values())
    assert len(rendering.boxes_xyxy) == 2
    assert (rendering.boxes_xyxy[:, :2] >= 0).all() and (rendering.boxes_xyxy[:, 2:] <= [width, height]).all()


def test_left_and_right_are_the_patients(healthy):
    centre = {name: np.argwhere(mask).mean(axis=0) for name, mask in healthy.masks.items()}
    assert centre["right_lung"][1] < centre["heart"][1] < centre["left_lung"][1]
    assert centre["heart"][0] > centre["left_lung"][0]  # the heart lies low
    overlap = sum(mask.astype(int) for mask in healthy.masks.values())
    assert overlap.max() == 1


def test_the_right_lung_is_the_larger_one_and_lungs_fill_a_plausible_share():
    shares = [
        {name: mask.mean() for name, mask in render(*patient_and_view(seed), HEALTHY).masks.items()}
        for seed in range(8)
    ]
    assert np.mean([share["right_lung"] > share["left_lung"] for share in shares]) >= 0.75
    assert all(0.1 < share["right_lung"] + share["left_lung"] < 0.6 for share in shares)


def test_air_is_dark_and_the_heart_bright():
    for seed in range(6):
        rendering = render(*patient_and_view(seed), HEALTHY)
        lungs = rendering.masks["left_lung"] | rendering.masks["right_lung"]
        assert rendering.pixels[lungs].mean() + 0.05 < rendering.pixels[rendering.masks["heart"]].mean()


def test_masks_do_not_know_the_disease():
    patient, view = patient_and_view(5)
    sick = render(patient, view, draw_disease(np.random.default_rng(1), "typical"))
    well = render(patient, view, HEALTHY)
    assert all((sick.masks[name] == well.masks[name]).all() for name in well.masks)
    assert np.abs(sick.pixels - well.pixels).max() > 0.02


def test_the_heart_has_the_width_the_patient_was_given_and_ap_magnifies_it():
    patient, view = patient_and_view(7, size=400, projection="PA", inspiration=0.95, shift_cm=(0.0, 0.0))

    def ratio(patient, view):
        masks = render(patient, view, HEALTHY).masks
        chest = np.flatnonzero((masks["left_lung"] | masks["right_lung"]).any(axis=0))
        return masks["heart"].any(axis=0).sum() / (chest[-1] - chest[0])

    small, large = ratio(replace(patient, heart=0.4), view), ratio(replace(patient, heart=0.6), view)
    assert small == pytest.approx(0.4, abs=0.06) and large == pytest.approx(0.6, abs=0.06)
    assert ratio(replace(patient, heart=0.4), replace(view, projection="AP")) > 1.06 * small


def test_breathing_in_lengthens_the_lungs():
    patient, view = patient_and_view(8, projection="PA", field_cm=55.0, shift_cm=(0.0, 0.0))
    long, short = (
        render(patient, replace(view, inspiration=depth), HEALTHY).masks["right_lung"].any(axis=1).sum()
        for depth in (1.0, 0.75)
    )
    assert short / long == pytest.approx(0.79, abs=0.06)  # (.75 H + fall of the dome) / (H + fall)


def test_frame_maps_the_grid_and_back():
    _, view = patient_and_view(0, angle=0.2, shift_cm=(1.5, -2.0), height=300, width=260)
    frame = Frame(view, 11.0)
    points = [(0, 0), (299, 10), (120, 259)]
    body = [(frame.x[point], frame.y[point]) for point in points]
    assert frame.to_px(body) == pytest.approx(np.array(points)[:, ::-1], abs=1e-2)


def test_body_noise_clings_to_the_body():
    _, view = patient_and_view(0, size=500)
    moved = replace(view, angle=0.1, shift_cm=(3.0, 1.0), field_cm=1.2 * view.field_cm)
    frames = [Frame(view, 11.0), Frame(moved, 11.0)]
    places = [(x, y) for x in (-6.0, -2.0, 3.0, 7.0) for y in (3.0, 8.0, 14.0)]
    samples = []
    for frame in frames:
        texture = frame.body_noise(np.random.default_rng(9), 4.0, 1)
        samples.append([texture[round(y), round(x)] for x, y in frame.to_px(places)])
    assert samples[0] == pytest.approx(samples[1], abs=0.15) and np.std(samples[0]) > 0.4


def test_devices_and_letters_only_add_density():
    patient, view = patient_and_view(4, size=400)
    bare = render(patient, view, HEALTHY).pixels
    paced = render(patient, replace(view, devices=("pacemaker", "sternal_wires")), HEALTHY).pixels
    assert ((paced - bare) > 0.2).mean() > 0.003
    written = burn_in(np.zeros((400, 400), np.float32), replace(view, devices=("lead_letter",)))
    ys, xs = np.nonzero(written > 0.5)
    assert 20 < len(ys) < 4000 and (xs.mean() < 100 or xs.mean() > 300)  # beside the chest


def test_findings_follow_the_anatomy():
    patient, view = patient_and_view(0)
    plain = replace(patient, heart=0.45, lung_density=0.25, scars=0, pleura=0.0)
    assert render(plain, view, HEALTHY).findings == ()
    changed = replace(plain, heart=0.58, scars=2, pleura=0.5)
    assert render(changed, view, HEALTHY).findings == ("Cardiomegaly", "Fibrosis", "Pleural_Thickening")


def test_draws_are_plain_and_varied():
    rng = np.random.default_rng(0)
    drawn = [(patient := draw_patient(rng), draw_view(rng, patient, (640, 900))) for _ in range(200)]
    for item in drawn[0]:
        assert not any(isinstance(getattr(item, field.name), np.generic) for field in fields(item))
    assert {patient.sex for patient, _ in drawn} == {"M", "F"}
    assert {view.projection for _, view in drawn} == {"AP", "PA"}
    longer = [max(view.height, view.width) for _, view in drawn]
    assert min(longer) >= 640 and max(longer) <= 900
    shapes = np.array([view.width / view.height for _, view in drawn])
    assert (shapes > 1.1).mean() > 0.4 and (shapes < 0.9).any() and (abs(shapes - 1) < 0.03).any()
