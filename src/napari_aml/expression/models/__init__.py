"""The networks. Importing one loads torch; `building.build` is the way in."""
