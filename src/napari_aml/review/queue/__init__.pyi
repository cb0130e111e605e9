from .of_project import project_pool_steps, queue_table
from .orders import DEFAULT, ORDERS, Order, rank, rank_steps
from .pool import Pool
from .ranking import Ranking

__all__ = ["DEFAULT", "ORDERS", "Order", "Pool", "Ranking", "project_pool_steps", "queue_table", "rank", "rank_steps"]
