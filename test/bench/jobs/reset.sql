truncate jobs, samples;
