"""`hydra/launcher=submitit_slurm`: submitit's launcher, extended for sweeps that resume.

Hydra imports every plugin at start-up, so the rest is imported when a sweep begins.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.singleton import Singleton
from hydra_plugins.hydra_submitit_launcher.config import BaseQueueConf
from hydra_plugins.hydra_submitit_launcher.submitit_launcher import SlurmLauncher

if TYPE_CHECKING:
    from gradprom.launch.submission import Packing
    from gradprom.runs.records import Study


class ResumableSlurmLauncher(SlurmLauncher):
    """Submits without waiting; several runs per job; arrays no longer than the cluster allows.

    `launch` is submitit's own, for other sweepers: one job per run, and it waits.
    """

    def submit(
        self, overrides: dict[str, list[str]], study: "Study", packing: "Packing", first: int
    ) -> list[tuple[str, int]]:
        """Submit runs as few job arrays.

        Parameters
        ----------
        overrides
            The overrides of each run, by its id.
        study
            The study of the runs.
        packing
            How runs share jobs and devices.
        first
            The number of the first run in its sweep.

        Returns
        -------
        list
            The number of each job array, and how many runs it has.

        Raises
        ------
        RunError
            If Slurm does not answer or rejects the jobs; the message is Slurm's own.
        """
        from submitit.core.utils import FailedJobError

        from gradprom.errors import RunError
        from gradprom.sweeps import queue

        limit, logs = queue.array_limit(), str(Path(self.params["submitit_folder"]).resolve())
        packs = self._packs(overrides, study, packing, first)
        submitted = []
        for array in (packs[i : i + limit] for i in range(0, len(packs), limit)):
            name = queue.note(study, self.params["name"], [pack.runs for pack in array], logs)
            try:
                job = self._executor(name).submit_array(array)[0]
            except FailedJobError as error:
                raise RunError(f"Slurm rejected the jobs: {str(error).strip()}") from error
            number = str(job.job_id).partition("_")[0]
            queue.note_job(study, name, number)
            submitted.append((number, sum(len(pack.runs) for pack in array)))
        return submitted

    def _packs(
        self, overrides: dict[str, list[str]], study: "Study", packing: "Packing", first: int
    ) -> list[Any]:
        from gradprom.launch.packs import Pack

        state, runs, size = Singleton.get_state(), list(overrides), packing.runs_per_job
        parameters = [
            (overrides[run_id], "hydra.sweep.dir", number, f"job_id_for_{number}", state)
            for number, run_id in enumerate(runs, first)
        ]
        return [
            Pack(
                self._work,
                parameters[i : i + size],
                runs[i : i + size],
                study,
                packing.runs_per_device,
                packing.devices,
                on_gpu=packing.on_gpu,
                grace=self.params["signal_delay_s"],
            )
            for i in range(0, len(runs), size)
        ]

    def _work(self, *parameters: Any) -> Any:
        """One run, in its job; raises the exception that stopped it."""
        return self(*parameters).return_value

    def _executor(self, name: str) -> Any:
        """submitit's executor with the settings of `conf/hydra/launcher/submitit_slurm.yaml`."""
        import submitit

        params = {**self.params, "name": name}
        folder, retries = params.pop("submitit_folder"), params.pop("max_num_timeout")
        executor = submitit.AutoExecutor(
            folder=folder, cluster="slurm", slurm_max_num_timeout=retries
        )
        general = BaseQueueConf.__dataclass_fields__
        executor.update_parameters(
            **{key if key in general else f"slurm_{key}": value for key, value in params.items()}
        )
        return executor
