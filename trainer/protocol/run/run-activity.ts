/** Whether a run is at work, by the state that it has written. */

/** True of a run that has begun and not ended, as far as it says: its process may be gone. */
export const isActive = (state: string | undefined): boolean => state === 'preparing' || state === 'running';
