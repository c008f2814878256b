"""The cheapest way to give each of some rows a column of its own: the assignment problem, solved exactly.

Rows are added one by one. Each starts a search for the shortest way to a free column, over the rows that would have to
change theirs, in costs less the prices that earlier searches have set; along it the columns change hands. After Kuhn
(1955) and Munkres (1957), with the shortest augmenting paths of Tomizawa (1971); the time is O(rows x rows x columns).
"""

import math

import numpy as np

from coopgym.envs.compiling import kernel


@kernel
def cheapest_assignment(cost):
    """The column of each row, [rows] int64, for the least sum of costs; -1 for rows that must do without.

    cost: [rows, columns] float64, finite. With fewer columns than rows, every column is taken.
    """
    rows, columns = cost.shape
    if columns >= rows:
        return _columns_of_rows(cost)
    column_of = np.full(rows, -1)
    row_of = _columns_of_rows(np.ascontiguousarray(cost.T))
    for column in range(columns):
        column_of[row_of[column]] = column
    return column_of


@kernel
def _columns_of_rows(cost):
    """The same for no more rows than columns."""
    rows, columns = cost.shape
    row_price, column_price = np.zeros(rows), np.zeros(columns)
    column_of, row_of = np.full(rows, -1), np.full(columns, -1)
    for start in range(rows):
        far = np.full(columns, math.inf)  # the length of the shortest way to each column that is known
        before = np.full(columns, -1)  # the last row on it
        settled = np.zeros(columns, np.bool_)
        row, length, column = start, 0.0, -1
        while column < 0 or row_of[column] >= 0:
            if column >= 0:
                row = row_of[column]
            column = -1
            for k in range(columns):
                if settled[k]:
                    continue
                through = length + cost[row, k] - row_price[row] - column_price[k]
                if through < far[k]:
                    far[k] = through
                    before[k] = row
                if column < 0 or far[k] < far[column]:
                    column = k
            length = far[column]
            settled[column] = True
        row_price[start] += length
        for k in range(columns):
            if settled[k] and k != column:
                row_price[row_of[k]] += length - far[k]
                column_price[k] -= length - far[k]
        while column >= 0:
            row = before[column]
            row_of[column] = row
            column_of[row], column = column, column_of[row]
    return column_of
