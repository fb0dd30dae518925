"""The command line's promises: exit codes, and one line instead of a traceback."""

import pytest

from cxr.__main__ import COMMANDS, main


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_every_command_explains_itself(command, capsys):
    with pytest.raises(SystemExit) as stop:
        main([command, "--help"])
    assert stop.value.code == 0 and "usage: python -m cxr" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [[], ["conquer"], ["score"], ["phantom", "out", "--studies", "none"]])
def test_wrong_usage_is_exit_code_2(arguments, capsys):
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2 and "usage" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["folds", "nowhere.csv", "out.csv"], "nowhere.csv: no such file"),
        (["baseline", "nowhere", "out.csv"], "no sample_submission.csv or train_image_level.csv found in nowhere"),
        (["submit", "nowhere", "out.csv", "--run", "nowhere/demo"], "no run there"),
        (["convert", "nowhere", "out"], "nowhere: no such file or folder"),
        (["run", "nowhere.ipynb", "out.ipynb"], "nowhere.ipynb: no such notebook"),
    ],
)
def test_a_data_fault_is_one_line_and_exit_code_1(arguments, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: ") and message in error and error.count("\n") == 1
