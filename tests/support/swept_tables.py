"""The table of runs that a sweep without an experiment makes."""

from support.hand_made import Record

from gradprom.reports import swept, unplanned
from gradprom.reports.tables.table import Table


def build(*records: Record) -> Table:
    by_id = {record.id: record for record in records}
    return swept.table_of(unplanned.expansion([*records]), by_id)
