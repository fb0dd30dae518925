"""The `kaggle` commands that upload a bundle, in the order in which they are needed.

From the documentation of github.com/Kaggle/kaggle-cli (docs/datasets.md, kernels.md, competitions.md); not tried
here, for want of an account.
"""

from pathlib import Path

from cxr.data.siim import SLUG as COMPETITION
from cxr.kaggle.metadata import DATASET_FILE, KERNEL_FILE, slug_of

DATASETS, KERNELS = ("code", "wheels", "weights"), ("submission", "pipeline")


def commands_text(bundle: Path, titles: dict[str, str], user: str) -> str:
    """Commands for the parts that a bundle has, with words between them. To be run in the folder of the bundle."""
    datasets = [part for part in DATASETS if (bundle / part / DATASET_FILE).is_file()]
    kernels = [part for part in KERNELS if (bundle / part / KERNEL_FILE).is_file()]
    lines = ["# In this folder, with `pip install kaggle` and your token in place. Everything is private.", ""]
    lines += ["# 1. The first time (-r zip: folders would be left out; -t: files stay as they are)"]
    lines += [f"kaggle datasets create -p {part} -r zip -t" for part in datasets]
    lines += ["", "# ... later: a new version"]
    lines += [f'kaggle datasets version -p {part} -r zip -t -m "new version"' for part in datasets]
    lines += ["", "# 2. Wait until each says ready"]
    lines += [f"kaggle datasets status {user}/{slug_of(titles[part])}" for part in datasets]
    for part in kernels:
        kernel = f"{user}/{slug_of(titles[part])}"
        lines += ["", f"# 3. {WORDS[part]}: upload and run, then ask until it says complete"]
        lines += [f"kaggle kernels push -p {part}", f"kaggle kernels status {kernel}"]
        lines += ["# its version is printed by `push`; Kaggle then runs it again on the hidden test set"]
        submit = f"kaggle competitions submit {COMPETITION} -f submission.csv -k {kernel} -v VERSION"
        lines += [f'{submit} -m "{part}"', f"kaggle kernels output {kernel} -p output-{part}"]
    lines += ["", "# 4. Scores", f"kaggle competitions submissions {COMPETITION}", ""]
    return "\n".join(lines)


WORDS = {"submission": "Inference alone", "pipeline": "Train and submit"}
