"""YOLO's checkpoints: ultralytics' trainer saves after an epoch, and goes on where one was saved.

Not ultralytics' own `resume`: that one keeps half precision, puts the average in the place of the weights, takes most
arguments from the checkpoint, and reads it as a pickle of classes. Here the weights, their average and the optimiser
come back bit for bit, and the arguments are the ones of now. Random states come back too, so that on a CPU, where one
process loads and no gradient outlasts an epoch, the end is the same as without the kill. Loader processes on a GPU
begin anew with other random numbers.
"""

from pathlib import Path

import torch
from torch.utils.data import DataLoader

from cxr.training.checkpoint import Pace, random_state, read_checkpoint, restore_random_state, save_atomically


class YoloCheckpoints:
    """Callbacks for one training of ultralytics; `add_to` its model. `resumed_after`: epochs done by earlier ones."""

    def __init__(self, path: Path, key: str):
        self.path, self.key, self.pace = path, key, Pace()
        self.found = read_checkpoint(path, key)
        self.resumed_after = self.found["epoch"] if self.found else 0
        self.seconds = self.found["seconds"] if self.found else 0.0  # of the earlier ones

    def add_to(self, model: object) -> None:
        """Register with the model, before its `train`."""
        model.add_callback("on_pretrain_routine_end", self.restore)
        model.add_callback("on_train_start", self.go_on)
        model.add_callback("on_fit_epoch_end", self.save)

    def save(self, trainer: object) -> None:
        """Save if it is time; the last epoch ends with the weights themselves."""
        last = trainer.stop or trainer.epoch + 1 >= trainer.epochs
        if not last and self.pace.is_due():
            self.pace.save(lambda: save_atomically(self.state(trainer), self.path))

    def state(self, trainer: object) -> dict:
        """Tensors and plain values."""
        results = trainer.csv.read_text()
        return {
            "key": self.key,
            "epoch": trainer.epoch + 1,
            "seconds": float(results.splitlines()[-1].split(",")[1]),
            "results": results,
            "model": trainer.model.state_dict(),
            "average": trainer.ema.ema.state_dict(),
            "updates": trainer.ema.updates,
            "optimizer": trainer.optimizer.state_dict(),
            "scaler": trainer.scaler.state_dict(),
            "random": random_state([trainer.train_loader]),
        }

    def restore(self, trainer: object) -> None:
        """Put everything back into a trainer that is ready to begin."""
        if not self.found:
            return
        found, self.found = self.found, None
        trainer.model.load_state_dict(found["model"])
        trainer.ema.ema.load_state_dict(found["average"])
        trainer.ema.updates = found["updates"]
        trainer.optimizer.load_state_dict(found["optimizer"])
        trainer.scaler.load_state_dict(found["scaler"])
        trainer.start_epoch = self.resumed_after
        trainer.scheduler.last_epoch = self.resumed_after - 1
        trainer.csv.write_text(found["results"])
        self._restore_criterion(trainer)
        closed = self.resumed_after > trainer.epochs - trainer.args.close_mosaic
        if closed:  # the trainer would do it a second time, and draw a random number with it
            trainer._close_dataloader_mosaic()
            trainer.args.close_mosaic = 0
        restore_random_state(found["random"], [trainer.train_loader])
        self._place(trainer, closes_now=self.resumed_after == trainer.epochs - trainer.args.close_mosaic)

    def go_on(self, trainer: object) -> None:
        """Count the seconds of results.csv from where they were."""
        trainer.train_time_start -= self.seconds

    def _restore_criterion(self, trainer: object) -> None:
        # the losses of heads without suppression change from epoch to epoch (as ultralytics' resume_training has it)
        if getattr(trainer.model.model[-1], "one2one_cv2", None) is not None:
            trainer.model.criterion = trainer.model.init_criterion()
            trainer.model.criterion.updates = self.resumed_after - 1
            trainer.model.criterion.update()

    @staticmethod
    def _place(trainer: object, closes_now: bool) -> None:
        """Put the loader's endless iterator where it would be: between two epochs."""
        loader: DataLoader = trainer.train_loader
        if loader.num_workers or closes_now:  # a new iterator is made anyway
            return
        kept = loader.generator.get_state()
        loader.iterator = loader._get_iterator()  # draws a number, which the iterator of an uninterrupted training did
        loader.generator.set_state(kept)  # before the first epoch
        if len(loader.sampler) % loader.batch_size == 0:
            # the last batch was full before the sampler was asked for more: its farewell draw is still to come
            torch.randperm(len(loader.sampler), generator=loader.generator)
