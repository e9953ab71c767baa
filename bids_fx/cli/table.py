"""The table of options: the only place where an option is declared."""

from __future__ import annotations

from functools import cache

from bids_fx.cli.model_options import combination_options, model_options
from bids_fx.cli.options import Option
from bids_fx.cli.report_options import report_options
from bids_fx.cli.values import label_of, memory_mb, named_path, named_paths, space, to_path
from bids_fx.values import choice, count_at_once

LEVELS = ("participant", "group")
POSITIONALS = (
    ("BIDS_DIR", "the BIDS dataset; it is only read: events, sidecars, and never its images"),
    ("OUTPUT_DIR", "where the results are written; it is made if it is not there"),
    ("LEVEL", "'participant' fits and combines runs, 'group' gathers what all participants have"),
)
#: Options that print something and end the program.
IMMEDIATE = {
    "-h": "show this help and exit",
    "--help": "show this help and exit",
    "--version": "print the version and exit",
    "--bids-exec-spec": "print a Boutiques descriptor of this command line and exit",
}
WHAT = "what is analysed"
RESOURCES = "resources"
DOING = "what is done"


def _input_options() -> tuple[Option, ...]:
    labels = {
        "participant-label": ("participants", "sub", "participants"),
        "session-label": ("sessions", "ses", "sessions"),
        "task-id": ("tasks", "task", "tasks"),
        "run-id": ("runs", "run", "runs"),
    }
    return (
        Option(
            names=("-d", "--derivatives"),
            group=WHAT,
            kind="list",
            field="data.derivatives",
            metavar="PATH|NAME=PATH",
            convert=named_path,
            finish=named_paths,
            value_type="File",
            help="folders of preprocessed data, fMRIPrep's or named like them",
            default="BIDS_DIR/derivatives/fmriprep",
            at_group=True,
        ),
        Option(
            names=("--raw-bold",),
            group=WHAT,
            kind="flag",
            field="data.raw_bold",
            help="model the BOLD images of BIDS_DIR themselves, without preprocessing",
        ),
        *(
            Option(
                names=(*(("-t",) if name == "task-id" else ()), f"--{name}"),
                group=WHAT,
                kind="list",
                field=f"data.{field}",
                metavar="LABEL",
                convert=label_of(key),
                help=f"{plural} to keep, with or without '{key}-'",
                default="all",
                at_group=name == "participant-label",
            )
            for name, (field, key, plural) in labels.items()
        ),
        Option(
            names=("--space", "--output-spaces"),
            group=WHAT,
            kind="list",
            field="data.spaces",
            metavar="SPACE[:res-N]",
            convert=space,
            help="spaces to analyse, of those that there are; 'func' for images without a space",
            default="MNI152NLin2009cAsym if there are several",
        ),
        Option(
            names=("--desc-label",),
            group=WHAT,
            field="data.desc",
            metavar="LABEL",
            convert=label_of("desc"),
            help="'desc-' label of the preprocessed BOLD series",
        ),
        Option(
            names=("--bids-filter-file",),
            group=WHAT,
            metavar="JSON",
            convert=to_path,
            value_type="File",
            help="fMRIPrep's filter file; what it says of 'bold' selects the BOLD series",
        ),
        Option(
            names=("--links",),
            group=WHAT,
            field="data.links",
            metavar="follow|inside",
            convert=choice(("follow", "inside")),
            choices=("follow", "inside"),
            help="symbolic links in the datasets: 'inside' refuses those that lead out of "
            "BIDS_DIR and the other folders named here, for data that are not trusted",
        ),
        Option(
            names=("--bids-database-dir",),
            group=WHAT,
            field="data.database_dir",
            metavar="DIR",
            convert=to_path,
            value_type="File",
            help="folder of a pybids index that is kept between calls; it is never checked "
            "whether it is out of date",
        ),
        Option(
            names=("--skip-bids-validation", "--skip-bids-validator"),
            group=WHAT,
            kind="flag",
            field="execution.skip_bids_validation",
            help="do not run the BIDS validator on BIDS_DIR",
            at_group=True,
        ),
    )


def _resource_options() -> tuple[Option, ...]:
    return (
        Option(
            names=("--nprocs", "--nthreads", "--n-cpus"),
            group=RESOURCES,
            field="execution.n_procs",
            metavar="N",
            convert=count_at_once,
            value_type="Number",
            help="processors to use in all",
            default="those that this process may use",
            at_group=True,
        ),
        Option(
            names=("--omp-nthreads",),
            group=RESOURCES,
            field="execution.omp_nthreads",
            metavar="N",
            convert=count_at_once,
            value_type="Number",
            help="threads of one process",
            default="the processors are shared out",
            at_group=True,
        ),
        Option(
            names=("--mem-mb", "--mem"),
            group=RESOURCES,
            field="execution.mem_mb",
            metavar="MB",
            convert=memory_mb,
            help="memory of all processes together, in MB or with one of the units G M K (of "
            "1000); a series that does not fit is kept in the work dir",
            default="what the machine or container has",
            at_group=True,
        ),
        Option(
            names=("--use-plugin", "--nipype-plugin-file"),
            group=RESOURCES,
            field="execution.plugin_file",
            metavar="YAML",
            convert=to_path,
            value_type="File",
            help="nipype plugin and its arguments",
        ),
        Option(
            names=("-w", "--work-dir"),
            group=RESOURCES,
            field="execution.work_dir",
            metavar="DIR",
            convert=to_path,
            value_type="File",
            help="folder for intermediate files; user-UID in it is for this user alone",
            default="OUTPUT_DIR/.bids_fx_work",
            at_group=True,
        ),
        Option(
            names=("--clean-workdir",),
            group=RESOURCES,
            kind="flag",
            field="execution.clean_work_dir",
            help="empty the work dir of the participants asked for first",
        ),
        Option(
            names=("--resource-monitor",),
            group=RESOURCES,
            kind="flag",
            field="execution.resource_monitor",
            help="write what each node took to logs/<id>/resources.tsv, and warn where that is "
            "more memory than was planned",
        ),
    )


def _run_options() -> tuple[Option, ...]:
    return (
        Option(
            names=("--dry-run",),
            group=DOING,
            kind="maybe",
            field="execution.dry_run",
            metavar="text|json",
            convert=choice(("text", "json")),
            choices=("text", "json"),
            help="print what would be done and stop; text if neither is given",
        ),
        Option(
            names=("--reports-only",),
            group=DOING,
            kind="flag",
            field="execution.reports_only",
            help="only write the reports of what is there",
        ),
        Option(
            names=("--boilerplate-only",),
            group=DOING,
            kind="flag",
            field="execution.boilerplate_only",
            help="only write the methods text",
        ),
        Option(
            names=("--force",),
            group=DOING,
            kind="flag",
            field="execution.force",
            help="compute again what is there already",
        ),
        Option(
            names=("--stop-on-first-crash",),
            group=DOING,
            kind="flag",
            field="execution.stop_on_first_crash",
            help="end all at the first failure",
        ),
        Option(
            names=("--write-graph",),
            group=DOING,
            kind="flag",
            field="execution.write_graph",
            help="also draw the graph of the workflow",
        ),
        Option(
            names=("--config-file",),
            group=DOING,
            metavar="TOML",
            convert=to_path,
            value_type="File",
            help="presets of options by their long names, such as 'task-id = [\"rest\"]'; what "
            "stands on the command line wins",
            at_group=True,
        ),
        Option(
            names=("--notrack",),
            group=DOING,
            kind="flag",
            help="accepted for scripts written for other programs: nothing is ever sent",
            at_group=True,
        ),
        Option(
            names=("--log-json",),
            group=DOING,
            kind="flag",
            field="execution.log_json",
            help="write everything on standard error as one JSON object a line",
            at_group=True,
        ),
        Option(
            names=("-v", "--verbose"),
            group=DOING,
            kind="count",
            field="execution.verbosity",
            help="log more; may be repeated",
            default="progress and warnings",
            at_group=True,
        ),
    )


OPTIONS: tuple[Option, ...] = (
    *_input_options(),
    *model_options(),
    *combination_options(),
    *report_options(),
    *_resource_options(),
    *_run_options(),
)


@cache
def options_by_name() -> dict[str, Option]:
    """Return every option by each of its names."""
    return {name: option for option in OPTIONS for name in option.names}
