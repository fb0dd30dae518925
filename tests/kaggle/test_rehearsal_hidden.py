"""The hidden test set: drawn, never seen, two of its files broken in the ways that are named."""

import pytest

from cxr.data.siim import find_dicoms
from cxr.faults import DataFault
from cxr.images.dicom import read_dicom, read_header
from cxr.kaggle.rehearsal.hidden import ids_of, is_known, make_hidden, plant_faults, unknown_transfer_syntax
from cxr.phantom.plan import plan_siim


@pytest.fixture(scope="module")
def hidden(tmp_path_factory):
    return make_hidden(tmp_path_factory.mktemp("hidden"), test_studies=3, seed=5)


def test_only_the_test_part_is_drawn(hidden):
    assert sorted(path.name for path in hidden.iterdir()) == ["sample_submission.csv", "test"]
    images = {f"{path.stem}_image" for path in find_dicoms(hidden / "test")}
    studies = {f"{path.parent.parent.name}_study" for path in find_dicoms(hidden / "test")}
    assert ids_of(hidden / "sample_submission.csv") == images | studies
    assert len(studies) == 3


def test_another_seed_has_other_studies(hidden):
    other = plan_siim(12, 6)
    assert not {f"{study}_study" for study in other["study_id"]} & ids_of(hidden / "sample_submission.csv")


def test_the_planted_faults_break_two_files_and_no_other(hidden):
    files = find_dicoms(hidden / "test")
    for path in files:
        read_dicom(path)
    planted = plant_faults(hidden)
    assert [fault.fault for fault in planted] == ["truncated", "unknown transfer syntax"]
    broken = {fault.image_id for fault in planted}
    for path in files:
        if path.stem in broken:
            with pytest.raises(DataFault):
                read_dicom(path)
            assert path.parent.parent.name in {fault.study_id for fault in planted}
        else:
            read_dicom(path)


def test_the_unknown_transfer_syntax_is_one_digit_off(hidden):
    path = find_dicoms(hidden / "test")[-1]
    before, size = read_header(path)["transfer_syntax"], path.stat().st_size
    unknown_transfer_syntax(path)
    after = read_header(path)["transfer_syntax"]
    assert (after[:-1], path.stat().st_size) == (before[:-1], size)
    assert is_known(before)
    assert not is_known(after)


def test_a_set_without_two_single_studies_is_refused(tmp_path):
    folder = tmp_path / "test" / "study" / "series"
    folder.mkdir(parents=True)
    (folder / "a.dcm").touch()
    (folder / "b.dcm").touch()
    with pytest.raises(DataFault, match="0 studies of one image; the faults need two"):
        plant_faults(tmp_path)
