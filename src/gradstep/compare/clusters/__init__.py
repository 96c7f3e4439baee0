"""Runs made by a cluster's workers: the lead keeps the study, dask or ray carries the runs.

:mod:`~gradstep.compare.clusters.parcel` is what travels to a worker, :mod:`~gradstep.compare.clusters.worker` what it
does there, :mod:`~gradstep.compare.clusters.dispatch` the lead's loop, and ``dask_cluster`` and ``ray_cluster`` are
what the two libraries have for it.
"""
