"""Methods x seeds on one data set: settings, runs, their execution."""
