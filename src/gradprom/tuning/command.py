"""`python run.py -m tune=…`: batch after batch of trials, until there are as many as asked for.

Each trial is a run that the launcher starts like any other. What it came to stands in its record,
and only this process tells Optuna of it: a job that outlives this process is taken in by the next.
"""

import sys
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
import optuna
from hydra.plugins.launcher import Launcher
from optuna.trial import Trial
from rich.console import Console

from gradprom.config.composing import Composer, one_sentence
from gradprom.errors import GradpromError, RunError
from gradprom.experiments.overrides import OverrideList
from gradprom.launch import submission
from gradprom.launch.submission import TakenAway
from gradprom.runs import history
from gradprom.runs.record import ErrorInfo, Record
from gradprom.runs.run import Run
from gradprom.storage.lease import alone
from gradprom.sweeps import plan as plans
from gradprom.sweeps.preflight import rehearse
from gradprom.sweeps.progress import Display
from gradprom.tuning import report
from gradprom.tuning import study as studies
from gradprom.tuning import tuning as tunings
from gradprom.tuning.attempt import enhancer_epochs
from gradprom.tuning.tuning import Tuning

LOST = 3
"""How often a trial's job may end before its run has, until the trial counts as failed."""
WAITING = "another process works on this tuning; its end is waited for"


def tune(arguments: OverrideList, composer: Composer, launcher: Launcher) -> None:
    """Search what the words ask for, or go on with it, and show what came out best.

    Exits with 1 if the words are wrong, no trial has finished or the launcher stopped, with 130 on
    Ctrl-C.
    """
    with one_sentence():
        tuning = tunings.read(arguments, composer)
        if not tuning.dry_run:
            rehearse(plans.make(tuning.corners[:1], retry_failed=False), tuning.launcher)
    print(describe(tuning))
    if tuning.dry_run:
        return
    sys.stdout.flush()
    with one_sentence():
        try:
            with alone(tuning.study.folder / "lease", WAITING):
                told = {"words": tuning.words, "metric": tuning.options.metric}
                study = studies.create(tuning.study.folder, told)
                Search(tuning, study, launcher).go_on()
        except KeyboardInterrupt:
            print("\nInterrupted. The same command goes on with the trials that were begun.")
            raise
    if report.write(tuning.study.folder) is None:
        sys.exit(1)


def describe(tuning: Tuning) -> str:
    """What will be searched, and how far it is."""
    options, run = tuning.options, tuning.corners[0]
    splits = run.images().splits
    held, left = len(splits["validation"]), len(splits["train"])
    space = ", ".join(f"{key} {_values(values)}" for key, values in tuning.space.items())
    lines = {
        "space": space,
        "by": f"{options.metric} on {held} images held out of training, {left} to train on",
        "kept in": str(tuning.study.folder),
    }
    told = [f"tuning {tuning.name}: {_counts(tuning)}"]
    told += [f"  {title:<11}{text}" for title, text in lines.items()]
    return "\n".join([*told, *plans.aspects([run])])


def _counts(tuning: Tuning) -> str:
    """Such as `40 trials: 12 there (9 complete, 3 pruned), 28 to do, 2 at once`."""
    folder, options = tuning.study.folder, tuning.options
    there = studies.load(folder).get_trials() if (folder / studies.JOURNAL).exists() else []
    states = Counter(report.STATES[t.state] for t in there)
    done = f" ({', '.join(f'{n} {state}' for state, n in states.items())})" if states else ""
    more = max(0, options.trials - len(there)) + states[report.BEGUN]
    at_once = f", {options.at_once} at once" if options.at_once > 1 else ""
    return f"{options.trials} trials: {len(there)} there{done}, {more} to do{at_once}"


def _values(values: Any) -> str:
    if isinstance(values, optuna.distributions.CategoricalDistribution):
        return "|".join(map(str, values.choices))
    step = f" by {values.step}" if values.step not in (None, 1) else ""
    return f"{values.low:g} to {values.high:g}{step}{' (log)' if values.log else ''}"


class Search:
    """A tuning at work."""

    def __init__(self, tuning: Tuning, study: optuna.Study, launcher: Launcher):
        self.tuning = tuning
        self.study = study
        self.launcher = launcher
        self.launched = 0
        self.stopped: Any = None
        """Why a job was lost, once one is."""

    def go_on(self) -> None:
        """Run batch after batch to the end.

        Raises
        ------
        RunError
            If the launcher has lost a job; its trial is begun and will be gone on with.
        """
        for numbers in self._batches():
            runs = self._runs(numbers)
            outcomes = self._launch(runs)
            for number, run in runs.items():
                self._tell(number, run, outcomes.get(run.id))
            for number in numbers:
                told = report.line(self.study.get_trials(deepcopy=False)[number], self.study)
                print(told, flush=True)
            if self.stopped is not None:
                raise RunError(f"a job was lost: {self.stopped}; the same command goes on")

    def _batches(self) -> Iterator[list[int]]:
        """Numbers of trials: what a kill has left first, then new ones."""
        size = self.tuning.options.at_once
        left = studies.left(self.study)
        yield from (left[first : first + size] for first in range(0, len(left), size))
        while (missing := self.tuning.options.trials - len(self.study.get_trials(False))) > 0:
            yield [self.study.ask().number for _ in range(min(size, missing))]

    def _runs(self, numbers: list[int]) -> dict[int, Run]:
        """The runs of some trials; one whose parameters do not go together has failed."""
        runs = {}
        for number in numbers:
            params = studies.draw(self.study, number, self.tuning.space, self.tuning.options)
            try:
                runs[number] = self.tuning.run(number, params)
            except GradpromError as error:
                studies.tell_failed(self.study, number, str(error))
        return runs

    def _launch(self, runs: dict[int, Run]) -> dict[str, Any]:
        """Start what has not run yet, each run once; what its job returned, by run."""
        numbers = {run.id: number for number, run in reversed(runs.items())}
        plan = plans.make(list(runs.values()), retry_failed=False)
        ids = [job.run.id for job in plan.pending]
        if not ids:
            return {}
        trials = self.study.get_trials(deepcopy=False)
        jobs = {id: self.tuning.job(numbers[id], trials[numbers[id]].params) for id in ids}
        try:
            with Display(plan, Console()):
                returned = submission.launch(
                    plan, jobs, self.launcher, self.tuning.manner, self.launched
                )
        except Exception as error:  # the records tell what is there all the same
            self.stopped = error
            return {}
        self.launched += len(jobs)
        return dict(zip(ids, returned, strict=True))

    def _tell(self, number: int, run: Run, outcome: Any) -> None:
        """Tell Optuna how a trial ended, from its run's record."""
        record = run.study.record(run.id)
        begun = studies.trial(self.study, number)
        begun.set_user_attr("run", run.id)
        for epoch, value in self._curve(run).items():
            studies.report(begun, epoch, value)
        match record:
            case Record(status="finished"):
                value = record.metrics[self.tuning.options.metric]
                studies.tell(self.study, number, value)
            case Record(status="pruned"):
                studies.tell_pruned(self.study, number)
            case Record(status="failed", error=ErrorInfo() as error):
                reason = f"{error.type}: {error.message}"
                studies.tell_failed(self.study, number, reason)
            case None if isinstance(outcome, Exception) and not isinstance(outcome, TakenAway):
                # it could not even begin
                studies.tell_failed(self.study, number, str(outcome))
            case _:
                self._lost(begun, outcome)

    def _lost(self, begun: Trial, outcome: Any) -> None:
        """A job has ended before its run: it is tried again, but not for ever."""
        times = begun.user_attrs.get("lost", 0) + 1
        begun.set_user_attr("lost", times)
        if times == LOST:
            studies.tell_failed(self.study, begun.number, f"its job was lost {times} times")
        else:
            self.stopped = self.stopped or outcome or f"that of trial {begun.number}"

    def _curve(self, run: Run) -> dict[int, float]:
        """Validation scores by the enhancer's epoch, of a run that was not trained just now."""
        logged = history.read(run.study.run(run.id))
        scores = logged.values(f"validation_{self.tuning.options.metric}")
        measured = np.flatnonzero(~np.isnan(scores))
        if not measured.size:
            return {}
        before, epochs = enhancer_epochs(run)[0], logged.cells("epoch")
        return {before + int(epochs[row]): float(scores[row]) for row in measured}
